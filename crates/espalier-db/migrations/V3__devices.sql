-- Boards. `id` is the id inside, `oid` the 24 digits that clients use; the token is stored as SHA-256.
-- `tags` and `group_names` are JSON lists of text, `facts` is a JSON object of what the board says of itself. An unclaimed device is kept by the admin who prepared it.
create table device (
    id text primary key,
    oid text not null unique,
    owner_id text not null references account (id) on delete cascade,
    name text not null,
    kind text,
    location text,
    tags text not null default '[]',
    group_names text not null default '[]',
    expected_interval_s bigint,
    facts text,
    unclaimed bigint not null default 0,
    token_digest bytea not null unique,
    created_at bigint not null
);

create index device_owner on device (owner_id);

-- Other names under which a device answers.
create table device_alias (
    alias text primary key,
    device_id text not null references device (id) on delete cascade
);

create index device_alias_device on device_alias (device_id);

-- With whom the owner shares a device.
create table device_share (
    device_id text not null references device (id) on delete cascade,
    account_id text not null references account (id) on delete cascade,
    role text not null,
    created_at bigint not null,
    primary key (device_id, account_id)
);

create index device_share_account on device_share (account_id);

-- What changes every minute, apart from the device's own row. `status_at` is the last change of `online`.
create table device_presence (
    device_id text primary key references device (id) on delete cascade,
    online bigint not null default 0,
    last_active bigint,
    status_at bigint
);

-- How a device can be claimed: once with product id and password, or with a single-use code (SHA-256).
create table device_claim (
    device_id text primary key references device (id) on delete cascade,
    product_id text unique,
    password_hash text,
    code_digest bytea unique,
    code_expires_at bigint
);

-- What happened to a device, the newest thousand of each. `id` grows with time.
create table device_event (
    id bigint primary key,
    device_id text not null references device (id) on delete cascade,
    at bigint not null,
    kind text not null,
    detail text not null
);

create index device_event_device on device_event (device_id, id);

-- Devices whose telemetry is still to be removed; finished at the next start when a crash came between.
create table device_deletion (
    device_id text primary key,
    deleted_at bigint not null
);
