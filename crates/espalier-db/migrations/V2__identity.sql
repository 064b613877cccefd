-- Accounts and what proves who somebody is. E-mail and username are kept in lower case; a username never
-- holds `@` and an e-mail always does, so that one can never be taken for the other.
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
-- A browser's session has no refresh token: its secret lives in a cookie and is prolonged by use.
create table session (
    id text primary key,
    account_id text not null references account (id) on delete cascade,
    access_digest bytea not null unique,
    access_expires_at bigint not null,
    refresh_digest bytea unique,
    refresh_expires_at bigint,
    created_at bigint not null,
    last_used_at bigint,
    user_agent text,
    address text
);

create index session_account on session (account_id);

-- Refresh tokens that were exchanged already. Who shows one again has a copy: the session ends.
create table session_spent (
    refresh_digest bytea primary key,
    session_id text not null references session (id) on delete cascade
);

create index session_spent_session on session_spent (session_id);

-- Keys for programs. `hint` is the start of the secret, by which a person recognises it.
create table api_key (
    id text primary key,
    account_id text not null references account (id) on delete cascade,
    name text not null,
    digest bytea not null unique,
    hint text not null,
    scopes text not null,
    created_at bigint not null,
    expires_at bigint,
    last_used_at bigint
);

create index api_key_account on api_key (account_id);

-- Secrets that are good for one use: the set-up link, links to choose a password, reset codes, invitations.
create table one_time (
    id text primary key,
    digest bytea not null unique,
    kind text not null,
    account_id text references account (id) on delete cascade,
    email text,
    role text,
    created_by text,
    created_at bigint not null,
    expires_at bigint,
    used_at bigint
);

create index one_time_account on one_time (account_id);

-- Access rules, every revision that ever held; the newest one counts.
create table security_rules (
    revision bigint primary key,
    document text not null,
    created_by text not null,
    created_at bigint not null
);

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
create index audit_account on audit (account_id, at);
