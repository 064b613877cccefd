// What happened since this page was opened, as the socket told it: boards that came and went, commands and wanted
// values that came to nothing. The inbox knows what was before.

import { fleet } from '$/live/fleet.svelte';
import { live } from '$/live/socket.svelte';
import type { StateKind } from '$/ui/states';
import { keyLabel } from '$/util/keys';

export interface Happening {
  id: string;
  kind: StateKind;
  device: string;
  text: string;
  /** Ms since 1970. */
  at: number;
  /** Whether it is the end of a command. */
  command?: boolean;
}

/** Kept; the page shows fewer. */
const MOST = 40;

class Recent {
  list = $state.raw<readonly Happening[]>([]);
  /** Moves whenever a state may have changed, so that a summary need not watch every device. */
  changes = $state(0);
  #next = 0;
  #started = false;

  /** Listens from the first call on. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    const changed = (): void => void this.changes++;
    live.on('device_added', changed);
    live.on('device_removed', changed);
    live.on('status_update', (frame) => {
      const online = frame.status === 'online';
      const text = online ? 'came online.' : 'went offline.';
      this.#add(frame.device_id, online ? 'online' : 'offline', text, Date.parse(frame.timestamp));
      changed();
    });
    live.on('desired_update', (frame) => {
      const label = keyLabel(frame.key);
      if (frame.state === 'expired') this.#add(frame.device_id, 'failed', `did not set ${label} in time.`, Date.now());
      else if (frame.state === 'refused') {
        const why = frame.reason ? `: ${frame.reason.replace(/\.$/, '')}.` : '.';
        this.#add(frame.device_id, 'failed', `refused ${label}${why}`, Date.now());
      } else if (frame.state === 'done') this.#add(frame.device_id, 'done', `set ${label}.`, Date.now());
      changed();
    });
    live.on('command_update', (frame) => {
      const at = Date.parse(frame.timestamp);
      if (frame.state === 'failed') {
        const why = frame.error ? `: ${frame.error}` : '.';
        this.#add(frame.device_id, 'failed', `A command failed${why}`, at, true);
      } else if (frame.state === 'expired') {
        this.#add(frame.device_id, 'failed', 'A command was not answered in time.', at, true);
      } else return;
      changed();
    });
    live.onResync(changed);
  }

  /** Takes one off the list: it was seen. */
  forget(id: string): void {
    this.list = this.list.filter((happening) => happening.id !== id);
    this.changes++;
  }

  #add(device: string, kind: StateKind, text: string, at: number, command = false): void {
    if (!fleet.devices.has(device)) return;
    const happening = {
      id: `live ${this.#next++}`,
      kind,
      device,
      text,
      at: Number.isFinite(at) ? at : Date.now(),
      command,
    };
    this.list = [happening, ...this.list].slice(0, MOST);
  }
}

export const recent = new Recent();
