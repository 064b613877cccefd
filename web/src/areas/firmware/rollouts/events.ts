// What happened to a rollout, as sentences.

import type { Schemas } from '$/api/client';
import { reasonText } from './rollout';

type Event = Schemas['RolloutEvent'];

/** One event in words. */
export function eventText(event: Event): string {
  const detail = event.detail as Record<string, unknown>;
  const text = (key: string): string => (typeof detail[key] === 'string' ? (detail[key] as string) : '');
  const by = text('by_name') || text('by');
  const person = by && !/^[0-9a-f-]{36}$/.test(by) ? ` by ${by}` : '';
  const board = event.device_name ?? 'A board';
  switch (event.kind) {
    case 'created':
      return `Planned${person}.`;
    case 'changed':
      return `Changed${person}.`;
    case 'started':
      return `Started${person}.`;
    case 'approved':
      return `Approved${person}.`;
    case 'running':
      return 'It began.';
    case 'wave_opened':
      return `Wave ${String(detail['wave'] ?? '')} opened.`;
    case 'paused':
      return `Paused${person}.`;
    case 'resumed':
      return `Resumed${person}.`;
    case 'halted':
      return `Halted: ${text('message') || reasonText(text('reason'))}`;
    case 'finished':
      return 'Finished.';
    case 'aborted':
      return `Aborted${person}.`;
    case 'rolling_back':
      return `Rolling back${person}.`;
    case 'rolled_back':
      return event.device_id ? `${board} went back. ${reasonText(text('reason'))}` : 'Every board is back.';
    case 'failed':
      return `${board} failed. ${reasonText(text('reason'))}`;
    case 'unwell':
      return `${board} is not well. ${reasonText(text('reason'))}`;
    default:
      return event.kind.replaceAll('_', ' ');
  }
}
