-- Patches between two images, by the digests of both: what one account's images need serves another's too. Without a
-- `patch_sha256` the whole image is the better choice; `size` is what the patch has or would have had.
create table firmware_patch (
    from_sha256 bytea not null,
    to_sha256 bytea not null,
    patch_sha256 bytea,
    size bigint not null,
    made_at bigint not null,
    primary key (from_sha256, to_sha256)
);

create index firmware_patch_to on firmware_patch (to_sha256);

create index firmware_patch_patch on firmware_patch (patch_sha256);
