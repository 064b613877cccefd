// The areas of the app as the navigation shows them, in their order.

import Cpu from '@lucide/svelte/icons/cpu';
import House from '@lucide/svelte/icons/house';
import Inbox from '@lucide/svelte/icons/inbox';
import LayoutDashboard from '@lucide/svelte/icons/layout-dashboard';
import Package from '@lucide/svelte/icons/package';
import Settings from '@lucide/svelte/icons/settings';
import ShieldCheck from '@lucide/svelte/icons/shield-check';
import type { Route } from './routes';

export interface Link {
  area: Route['area'];
  href: string;
  label: string;
  icon: typeof House;
  /** On a phone it stands behind "More". */
  rare?: boolean;
}

/** What a person may open. */
export function linksFor(admin: boolean): Link[] {
  const links: Link[] = [
    { area: 'home', href: '/', label: 'Home', icon: House },
    { area: 'devices', href: '/ui/devices', label: 'Devices', icon: Cpu },
    { area: 'dashboards', href: '/ui/dashboards', label: 'Dashboards', icon: LayoutDashboard },
    { area: 'firmware', href: '/ui/firmware', label: 'Firmware', icon: Package },
    { area: 'notifications', href: '/ui/notifications', label: 'Inbox', icon: Inbox },
    { area: 'settings', href: '/ui/settings', label: 'Settings', icon: Settings, rare: true },
  ];
  if (admin) links.push({ area: 'admin', href: '/ui/admin', label: 'Admin', icon: ShieldCheck, rare: true });
  return links;
}
