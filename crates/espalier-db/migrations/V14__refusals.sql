-- Why a device will not apply a desired value, in its own words; null unless it said so.
alter table twin add column refused text;
