// Every page of the app. Pages are loaded when they are first opened; those of one area share a chunk.

import type { Component } from 'svelte';

// Each page declares the parameters of its own path.
type Page = () => Promise<{ default: Component<never> }>;

export interface Route {
  path: string;
  /** Which part of the navigation is marked. */
  area: 'home' | 'devices' | 'dashboards' | 'firmware' | 'notifications' | 'settings' | 'admin';
  page: Page;
  /** Only for admins of the installation. */
  admin?: boolean;
  /** Shown without navigation. */
  bare?: boolean;
}

// One function for both paths: a change of tab is not another page.
const devicePage: Page = () => import('$/areas/device/DevicePage.svelte');

const firmwarePage: Page = () => import('$/areas/firmware/FirmwarePage.svelte');

export const routes: Route[] = [
  { path: '/', area: 'home', page: () => import('$/areas/home/HomePage.svelte') },
  { path: '/ui/devices', area: 'devices', page: () => import('$/areas/devices/DevicesPage.svelte') },
  { path: '/ui/devices/new', area: 'devices', page: () => import('$/areas/devices/AddDevicePage.svelte') },
  { path: '/ui/devices/claim', area: 'devices', page: () => import('$/areas/devices/ClaimPage.svelte') },
  {
    path: '/ui/devices/waiting',
    area: 'devices',
    page: () => import('$/areas/devices/WaitingPage.svelte'),
    admin: true,
  },
  { path: '/ui/devices/:id', area: 'devices', page: devicePage },
  { path: '/ui/devices/:id/:tab', area: 'devices', page: devicePage },
  { path: '/ui/dashboards', area: 'dashboards', page: () => import('$/areas/dashboards/DashboardsPage.svelte') },
  { path: '/ui/dashboards/:id', area: 'dashboards', page: () => import('$/areas/dashboards/DashboardPage.svelte') },
  { path: '/ui/firmware', area: 'firmware', page: firmwarePage },
  {
    path: '/ui/firmware/rollouts/new',
    area: 'firmware',
    page: () => import('$/areas/firmware/rollouts/NewRolloutPage.svelte'),
  },
  {
    path: '/ui/firmware/rollouts/:id',
    area: 'firmware',
    page: () => import('$/areas/firmware/rollouts/RolloutPage.svelte'),
  },
  { path: '/ui/firmware/usb', area: 'firmware', page: () => import('$/areas/firmware/usb/FlashPage.svelte') },
  {
    path: '/ui/firmware/monitor',
    area: 'firmware',
    page: () => import('$/areas/firmware/monitor/MonitorPage.svelte'),
  },
  { path: '/ui/firmware/:tab', area: 'firmware', page: firmwarePage },
  {
    path: '/ui/notifications',
    area: 'notifications',
    page: () => import('$/areas/notifications/NotificationsPage.svelte'),
  },
  { path: '/ui/settings', area: 'settings', page: () => import('$/areas/settings/SettingsPage.svelte') },
  { path: '/ui/settings/:tab', area: 'settings', page: () => import('$/areas/settings/SettingsPage.svelte') },
  { path: '/ui/admin', area: 'admin', page: () => import('$/areas/admin/AdminPage.svelte'), admin: true },
  { path: '/ui/admin/:tab', area: 'admin', page: () => import('$/areas/admin/AdminPage.svelte'), admin: true },
];

/** Pages for who is not signed in. */
export const doors: Route[] = [
  { path: '/ui/signup', area: 'home', page: () => import('$/areas/door/SignUpPage.svelte'), bare: true },
  { path: '/ui/forgot', area: 'home', page: () => import('$/areas/door/ForgotPage.svelte'), bare: true },
  { path: '/ui/reset', area: 'home', page: () => import('$/areas/door/ResetPage.svelte'), bare: true },
];

/** Pages for everybody who has the link, signed in or not. */
export const open: Route[] = [
  {
    path: '/ui/shared/:token',
    area: 'dashboards',
    page: () => import('$/areas/dashboards/SharedPage.svelte'),
    bare: true,
  },
];
