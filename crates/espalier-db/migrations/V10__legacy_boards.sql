-- What old boards (no token, an id compiled in) are known by, one row per device. `open` says that the board may speak without a
-- token, from the station with this MAC or at this address. Several devices may share a `legacy_id`. `preferences` is a JSON object.
create table legacy_device (
    device_id text primary key references device (id) on delete cascade,
    legacy_id text not null,
    open bigint not null default 0,
    mac text,
    address text,
    device_name text,
    occupation text,
    wifi_ssid text,
    capabilities text,
    preferences text,
    custom_content_enabled bigint not null default 0,
    updated_at bigint not null
);

create index legacy_device_legacy on legacy_device (legacy_id);

-- Boards that an admin wants to hear nothing of: this id from the station with this MAC or at this address.
create table legacy_block (
    id text primary key,
    legacy_id text not null,
    mac text,
    address text not null,
    blocked_by text not null,
    blocked_at bigint not null
);
