-- Accounts and their sessions. E-mail and username are kept in lower case; a username never holds `@`.
create table account (
    id text primary key,
    email text not null unique,
    username text not null unique,
    password_hash text,
    full_name text,
    role text not null,
    is_active bigint not null default 1,
    created_at bigint not null,
    last_login bigint,
    notification_settings text not null default '{"enabled":true,"push":true,"email":false}',
    integrations text not null default '{}'
);

-- A session is one sign-in: an access token and the refresh token that renews it, both stored as SHA-256.
create table session (
    id text primary key,
    account_id text not null references account (id) on delete cascade,
    access_digest bytea not null unique,
    access_expires_at bigint not null,
    refresh_digest bytea unique,
    refresh_expires_at bigint,
    created_at bigint not null,
    last_used_at bigint,
    user_agent text
);

create index session_account on session (account_id);

-- Who did what, forever: no foreign key, so that the record outlives the account.
create table audit (
    id text primary key,
    account_id text not null,
    action text not null,
    target text not null,
    detail text not null,
    at bigint not null
);

create index audit_at on audit (at);
