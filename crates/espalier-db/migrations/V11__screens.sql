-- Pictures for screens, one row per account and digest; the file as it was uploaded is in the blob store under its SHA-256.
-- `name` is what old boards call it, unique in the installation; `title` is what its owner called the file.
create table screen_image (
    id text primary key,
    owner_id text not null references account (id) on delete cascade,
    sha256 bytea not null,
    name text not null unique,
    title text not null,
    kind text not null,
    width bigint not null,
    height bigint not null,
    size bigint not null,
    created_at bigint not null,
    unique (owner_id, sha256)
);

-- What a device's screen shows: `settings` and `preferences` are JSON objects. `version` grows with every change.
create table screen (
    device_id text primary key references device (id) on delete cascade,
    settings text not null,
    preferences text not null,
    version bigint not null,
    updated_at bigint not null
);

-- The pictures of a device's screen, in their order.
create table screen_picture (
    device_id text not null references device (id) on delete cascade,
    position bigint not null,
    image_id text not null references screen_image (id) on delete cascade,
    primary key (device_id, position)
);

create index screen_picture_image on screen_picture (image_id);

-- Texts that an account wrote, for one of its devices or (without one) for all.
create table screen_text (
    id text primary key,
    owner_id text not null references account (id) on delete cascade,
    device_id text references device (id) on delete cascade,
    category text not null,
    subcategory text not null,
    title text not null,
    body text not null,
    priority bigint not null,
    expires_at bigint,
    created_at bigint not null
);

create index screen_text_owner on screen_text (owner_id);
create index screen_text_device on screen_text (device_id);

-- Where an account's texts of a kind come from, when it is not the default.
create table screen_source (
    owner_id text not null references account (id) on delete cascade,
    category text not null,
    subcategory text not null,
    source text not null,
    primary key (owner_id, category, subcategory)
);
