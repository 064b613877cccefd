-- Firmware images, one row per account and digest; the bytes are in the blob store under their SHA-256. `facts` is a JSON object
-- of everything else that the image says of itself. `manifest` is the signed manifest as text, when there is one.
create table firmware (
    id text primary key,
    owner_id text not null references account (id) on delete cascade,
    sha256 bytea not null,
    md5 bytea not null,
    size bigint not null,
    chip text not null,
    project text not null,
    version text not null,
    secure_version bigint not null,
    elf_sha256 bytea not null,
    appended_sha256 bytea,
    facts text not null,
    device_type text,
    legacy_key text not null unique,
    filename text not null,
    description text not null,
    manifest text,
    created_by text not null,
    created_at bigint not null,
    downloads bigint not null default 0,
    unique (owner_id, sha256)
);

create index firmware_owner on firmware (owner_id);

-- Public keys whose signatures an account's boards trust. `id` is the key's own id (16 hexadecimal digits).
create table signing_key (
    owner_id text not null references account (id) on delete cascade,
    id text not null,
    name text not null,
    public_key bytea not null,
    added_at bigint not null,
    retired_at bigint,
    primary key (owner_id, id)
);

-- The signed key set that an account's boards are to keep, the newest serial only.
create table signing_key_set (
    owner_id text primary key references account (id) on delete cascade,
    serial bigint not null,
    document text not null,
    updated_at bigint not null
);

-- A release: images (one per chip or board type) published together in a channel.
create table firmware_release (
    id text primary key,
    owner_id text not null references account (id) on delete cascade,
    version text not null,
    channel text not null,
    notes text not null,
    created_by text not null,
    created_at bigint not null,
    withdrawn_at bigint
);

create index firmware_release_owner on firmware_release (owner_id);

create table firmware_release_image (
    release_id text not null references firmware_release (id) on delete cascade,
    firmware_id text not null references firmware (id) on delete cascade,
    primary key (release_id, firmware_id)
);

create index firmware_release_image_firmware on firmware_release_image (firmware_id);
