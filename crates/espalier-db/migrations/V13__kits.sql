-- What a board is flashed with over USB for the first time. `digest` is SHA-256 over everything that makes the kit what it is:
-- the same kit again is the same row. Addresses and sizes are bytes of flash.
create table firmware_kit (
    id text primary key,
    owner_id text not null references account (id) on delete cascade,
    digest bytea not null,
    variant text not null,
    chip text not null,
    project text not null,
    version text not null,
    flash_size bigint not null,
    settings_at bigint not null,
    settings_size bigint not null,
    otadata_at bigint not null,
    otadata_size bigint not null,
    notes text not null,
    created_by text not null,
    created_at bigint not null,
    unique (owner_id, digest)
);

-- The files of a kit, in the order of flash; the bytes are in the blob store under their SHA-256.
create table firmware_kit_part (
    kit_id text not null references firmware_kit (id) on delete cascade,
    name text not null,
    address bigint not null,
    size bigint not null,
    sha256 bytea not null,
    primary key (kit_id, name)
);

create index firmware_kit_part_sha256 on firmware_kit_part (sha256);
