-- What every feature leans on: settings of the installation itself.
create table meta (
    key text primary key,
    value text not null
);
