-- Rollouts: a release on its way to devices in waves. `target`, `plan`, `opened` (when each wave opened), `cut_offs` and `counts` are
-- JSON; `counts` is what the waves were counted to last. The release is named without a reference: what a rollout did is kept when its release is deleted.
create table rollout (
    id text primary key,
    owner_id text not null references account (id) on delete cascade,
    name text not null,
    release_id text not null,
    version text not null,
    channel text not null,
    target text not null,
    plan text not null,
    state text not null,
    reason_code text,
    reason text,
    opened text not null,
    reached_at bigint,
    cut_offs text not null,
    counts text not null,
    created_by text not null,
    created_by_name text not null,
    started_by text,
    approved_by text,
    created_at bigint not null,
    started_at bigint,
    ended_at bigint
);

create index rollout_owner on rollout (owner_id);

-- One device's way to one image; `way` is `forward`, `back` (what a roll back undoes) or `forced` (one device, without a rollout).
-- `facts` and `signs` are JSON: what is known of the update, and of the board in its health window.
create table device_update (
    id text primary key,
    rollout_id text references rollout (id) on delete cascade,
    device_id text not null references device (id) on delete cascade,
    way text not null,
    firmware_id text not null,
    sha256 bytea not null,
    version text not null,
    from_sha256 bytea,
    from_version text,
    wave bigint,
    state text not null,
    attempt bigint not null,
    reason text,
    facts text not null,
    signs text,
    verdict text,
    created_by text,
    created_at bigint not null,
    updated_at bigint not null
);

create index device_update_device on device_update (device_id, created_at);
create index device_update_rollout on device_update (rollout_id);

-- What happened to a rollout. `id` sorts by time; `detail` is JSON.
create table update_event (
    id text primary key,
    rollout_id text not null references rollout (id) on delete cascade,
    device_id text references device (id) on delete cascade,
    at bigint not null,
    kind text not null,
    detail text not null
);

create index update_event_rollout on update_event (rollout_id, id);
create index update_event_device on update_event (device_id);

-- The time zone of a device, for maintenance windows.
create table device_zone (
    device_id text primary key references device (id) on delete cascade,
    zone text not null
);
