-- Dashboards: what one person looks at. `share_digest` is the SHA-256 of the read-only link's token.
create table dashboard (
    id text primary key,
    account_id text not null references account (id) on delete cascade,
    name text not null,
    description text,
    share_digest bytea unique,
    created_at bigint not null
);

create index dashboard_account on dashboard (account_id);

-- Widgets. `data_key` is the key whose value it shows or sets, taken out of `config` to be found by.
create table widget (
    id text primary key,
    dashboard_id text not null references dashboard (id) on delete cascade,
    device_id text references device (id) on delete cascade,
    kind text not null,
    label text,
    value text,
    config text not null,
    data_key text,
    position bigint not null,
    x bigint,
    y bigint,
    width bigint,
    height bigint,
    created_at bigint not null
);

create index widget_dashboard on widget (dashboard_id);
create index widget_device on widget (device_id);

-- What one key of a device should be (`desired`, `version`) and what it is (`reported`); values are JSON.
-- It is pending while `answered` is less than `version`.
create table twin (
    device_id text not null references device (id) on delete cascade,
    key text not null,
    desired text,
    version bigint not null,
    answered bigint not null,
    contested bigint not null,
    expired bigint not null,
    expires_at bigint,
    set_by text,
    set_at bigint,
    reported text,
    reported_version bigint not null,
    reported_at bigint,
    primary key (device_id, key)
);

-- Commands: done once, answered by the device, or expired. Ids sort by time.
create table command (
    id text primary key,
    device_id text not null references device (id) on delete cascade,
    name text not null,
    params text not null,
    state text not null,
    created_by text not null,
    created_at bigint not null,
    expires_at bigint not null,
    delivered_at bigint,
    finished_at bigint,
    result text,
    error text
);

create index command_device on command (device_id, created_at);
create index command_due on command (state, expires_at);
