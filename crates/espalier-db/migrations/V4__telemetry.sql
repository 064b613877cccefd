-- How long points are kept, in days; what no rule names is kept for ever. The key `*` stands for all keys.
-- A rule of a device goes before the rules of its owner.
create table telemetry_retention_device (
    device_id text not null references device (id) on delete cascade,
    key text not null,
    keep_days bigint not null,
    primary key (device_id, key)
);

create table telemetry_retention_account (
    account_id text not null references account (id) on delete cascade,
    key text not null,
    keep_days bigint not null,
    primary key (account_id, key)
);
