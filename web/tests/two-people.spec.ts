// Two people in two browsers never see each other's devices; what one shares, the other sees at once.

import { expect, openArea, signIn, test } from './fixtures';

test('two people see their own devices, and what is shared', async ({ browser, demo }) => {
  const tokens = { bob: await demo.signUp('bob'), eve: await demo.signUp('eve') };
  const lamp = await demo.ask<{ id: string }>('POST', '/devices', tokens.bob, { name: 'Lamp of Bob' });
  await demo.ask('POST', '/devices', tokens.eve, { name: 'Pump of Eve' });

  const bob = await (await browser.newContext()).newPage();
  const eve = await (await browser.newContext()).newPage();
  await signIn(bob, demo, 'bob');
  await signIn(eve, demo, 'eve');
  for (const page of [bob, eve]) await openArea(page, 'Devices');
  await expect(bob.getByText('Lamp of Bob')).toBeVisible();
  await expect(eve.getByText('Pump of Eve')).toBeVisible();
  await expect(bob.getByText('Pump of Eve')).toBeHidden();
  await expect(eve.getByText('Lamp of Bob')).toBeHidden();

  // A known address does not help either.
  await eve.goto(`${demo.url}/ui/devices/${lamp.id}`);
  await expect(eve.getByRole('main')).toBeVisible();
  await expect(eve.getByText('Lamp of Bob')).toBeHidden();
  await openArea(eve, 'Devices');

  // Shared while the page is open: it comes without a reload, and goes again.
  await demo.ask('PUT', `/devices/${lamp.id}/shares/eve`, tokens.bob, { role: 'viewer' });
  await expect(eve.getByText('Lamp of Bob')).toBeVisible();
  await demo.ask('DELETE', `/devices/${lamp.id}/shares/eve`, tokens.bob);
  await expect(eve.getByText('Lamp of Bob')).toBeHidden();
  await bob.context().close();
  await eve.context().close();
});
