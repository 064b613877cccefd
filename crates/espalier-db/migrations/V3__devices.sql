-- Boards. `id` is the id inside, `oid` the 24 digits that clients use; the token is stored as SHA-256.
create table device (
    id text primary key,
    oid text not null unique,
    owner_id text not null references account (id) on delete cascade,
    name text not null,
    token_digest bytea not null unique,
    created_at bigint not null
);

create index device_owner on device (owner_id);
