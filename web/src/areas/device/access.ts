// What the caller may do with a device. The server decides; this only spares buttons that would be refused.

import type { Device, User } from '$/api/client';

export interface May {
  /** Desired values and commands. */
  control: boolean;
  /** Name, labels, sharing, token, retention. */
  manage: boolean;
  /** Giving it away and deleting it. */
  own: boolean;
  /** Why something is not permitted, in one sentence. */
  why: string;
}

const LEVEL: Record<string, number> = { viewer: 0, member: 1, admin: 2, owner: 3 };

export function may(device: Device, user: User | undefined): May {
  if (!user || user.role === 'viewer')
    return { control: false, manage: false, own: false, why: 'Your account can only look.' };
  const level = LEVEL[device.role] ?? 0;
  const why =
    level === 0
      ? 'This device is shared with you to look at only.'
      : level === 1
        ? 'This device is shared with you to see and control; its settings are its owner’s.'
        : 'Only the owner can give a device away or delete it.';
  return { control: level >= 1, manage: level >= 2, own: level >= 3 || user.is_admin, why };
}
