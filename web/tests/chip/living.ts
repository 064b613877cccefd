// A simulated board that lives by the settings in its flash: it says hello to the server that they name, with the token that
// they hold, as the firmware does. With wrong settings it stays silent.

import type { BoardSettings } from './app';
import type { Chip } from './chip';

/** A board that, once it has settings, joins its network and says hello as our firmware does. */
export function living(chip: Chip): { heard: BoardSettings[]; failed: string[] } {
  const told = { heard: [] as BoardSettings[], failed: [] as string[] };
  chip.onApp = (found) => {
    told.heard.push(found);
    chip.print(`I (900) wifi: joined ${found.networks[0]?.ssid}`);
    void fetch(`${found.server}/devices/${found.device}/telemetry`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${found.token}` },
      body: JSON.stringify({ data: { rssi: -61, uptime: 2, free_heap: 151_000 } }),
    }).then(
      async (answer) => {
        if (!answer.ok) told.failed.push(`${answer.status} ${await answer.text()}`);
        chip.print(`I (1400) espalier: server answered ${answer.status}`);
      },
      (error: unknown) => told.failed.push(String(error)),
    );
  };
  return told;
}
