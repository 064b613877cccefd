// What can be done with a rollout as it stands.

import { isOwn } from './plan';
import type { Rollout } from './rollout';

export interface Action {
  verb: 'start' | 'approve' | 'pause' | 'resume' | 'abort' | 'rollback' | 'delete';
  label: string;
  look: 'primary' | 'plain' | 'danger';
  /** Asked before it is done; absent when it can be undone. */
  ask?: { title: string; text: string };
}

const START: Action = {
  verb: 'start',
  label: 'Start',
  look: 'primary',
};
const APPROVE: Action = {
  verb: 'approve',
  label: 'Approve',
  look: 'primary',
  ask: { title: 'Approve this rollout?', text: 'It begins as planned. You answer for it together with who made it.' },
};
const PAUSE: Action = { verb: 'pause', label: 'Pause', look: 'plain' };
const RESUME: Action = { verb: 'resume', label: 'Resume', look: 'primary' };
const ABORT: Action = {
  verb: 'abort',
  label: 'Abort',
  look: 'danger',
  ask: {
    title: 'Abort this rollout?',
    text: 'No further board is offered the release. Boards that have it keep it. This cannot be undone.',
  },
};
const ROLLBACK: Action = {
  verb: 'rollback',
  label: 'Roll back',
  look: 'danger',
  ask: {
    title: 'Roll every board back?',
    text: 'It stops, and every board that took the release goes back to the image that it ran before.',
  },
};
const DELETE: Action = {
  verb: 'delete',
  label: 'Delete',
  look: 'danger',
  ask: {
    title: 'Delete this rollout?',
    text: 'What happened in it is no longer to be found. Boards keep what they run.',
  },
};

/** What can be done, the most likely first. */
export function actionsOf(rollout: Rollout, me: string | undefined): Action[] {
  const took = rollout.counts.succeeded + rollout.counts.watched + rollout.counts.under_way > 0;
  const back = took ? [ROLLBACK] : [];
  switch (rollout.state) {
    case 'draft':
      return [START, DELETE];
    case 'awaiting_approval':
      return [...(isOwn(rollout, me) ? [] : [APPROVE]), ABORT];
    case 'scheduled':
      return [ABORT];
    case 'running':
      return [PAUSE, ...back, ABORT];
    case 'paused':
      return [RESUME, ...back, ABORT];
    case 'halted':
      return [...back, { ...RESUME, look: 'plain', ask: RESUME_ASK }, ABORT];
    case 'finished':
    case 'aborted':
      return [...back, DELETE];
    case 'rolled_back':
      return [DELETE];
    default:
      return [];
  }
}

const RESUME_ASK = {
  title: 'Go on in spite of the failures?',
  text: 'The boards that failed so far are forgiven; new failures count from zero.',
};
