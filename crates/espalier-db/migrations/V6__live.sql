-- The inbox of each account. `seq` counts up within an account, so that notifications of one moment keep
-- their order. `details` is JSON. What is said about a device goes with the device.
create table notification (
    id text primary key,
    account_id text not null references account (id) on delete cascade,
    seq bigint not null,
    title text not null,
    message text not null,
    kind text not null,
    details text not null,
    device_oid text references device (oid) on delete cascade,
    widget_id text,
    is_read bigint not null default 0,
    created_at bigint not null,
    unique (account_id, seq)
);

create index notification_device on notification (device_oid);
