// The roles of an installation, in the order of what they may.

export interface RoleChoice {
  id: string;
  label: string;
  hint: string;
}

export const ROLES: RoleChoice[] = [
  { id: 'viewer', label: 'Viewer', hint: 'Sees what is shared with them, changes nothing' },
  { id: 'member', label: 'Member', hint: 'Has devices and dashboards of their own' },
  { id: 'admin', label: 'Admin', hint: 'Manages accounts, rules and backups too' },
  { id: 'owner', label: 'Owner', hint: 'As an admin, and manages owners' },
];

/** The roles that somebody may give: only owners make owners. */
export function rolesFor(role: string | undefined): RoleChoice[] {
  return role === 'owner' ? ROLES : ROLES.filter(({ id }) => id !== 'owner');
}

/** "Owner". */
export function roleLabel(role: string): string {
  return ROLES.find(({ id }) => id === role)?.label ?? role;
}
