-- What runs on each board, as it says itself: a JSON object. `fetched` is the image that an old sketch has downloaded and not shown yet,
-- a JSON object too.
create table device_firmware (
    device_id text primary key references device (id) on delete cascade,
    running text not null,
    fetched text,
    updated_at bigint not null
);

-- Which image ran on which board from when to when, and how often it crashed: a JSON object per row.
create table device_firmware_run (
    device_id text not null references device (id) on delete cascade,
    from_at bigint not null,
    run text not null,
    primary key (device_id, from_at)
);
