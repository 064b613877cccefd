// The one way to the server: typed by the OpenAPI description, with failures as sentences.
//
// The browser's session is a cookie that scripts cannot read; nothing here knows a token.

import createClient, { type ParseAs } from 'openapi-fetch';
import { paced } from './pace';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type Device = Schemas['DeviceView'];
export type Widget = Schemas['WidgetView'];
export type Dashboard = Schemas['DashboardView'];
export type DashboardWithWidgets = Schemas['DashboardWithWidgets'];
export type User = Schemas['UserOut'];
export type Notice = Schemas['NotificationView'];
export type Command = Schemas['CommandView'];
export type KeyState = Schemas['KeyState'];
export type DeviceEvent = Schemas['EventView'];
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type Values = Record<string, Json>;

/** A refusal by the server, or no answer at all (`status` 0). `message` is one sentence for people. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  /** Wrong fields by name, for forms. */
  readonly fields: Record<string, string>;

  constructor(status: number, code: string, message: string, fields: Record<string, string> = {}) {
    super(message);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

/** Called when the server no longer knows this browser. */
let signedOut: () => void = () => {};
export function onSignedOut(hear: () => void): void {
  signedOut = hear;
}

export const api = createClient<paths>({
  baseUrl: '/',
  headers: { accept: 'application/json' },
  querySerializer: { array: { style: 'form', explode: false } },
  fetch: paced((request) => fetch(request)),
});

interface ProblemBody {
  message?: string;
  code?: string;
  detail?: string | { loc?: string[]; msg?: string }[];
}

/** The server's words about a field begin small, because they follow its name; here they stand alone. */
export function asSentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?)\]}]$/.test(words) ? '' : '.');
}

/** Makes a `Problem` of whatever came back. */
export function problemOf(status: number, body: unknown): Problem {
  const { message, code, detail } = (body && typeof body === 'object' ? body : {}) as ProblemBody;
  const fields: Record<string, string> = {};
  if (Array.isArray(detail)) {
    for (const field of detail) {
      const name = field.loc?.slice(1).join('.');
      if (name && field.msg) fields[name] = asSentence(field.msg);
    }
  }
  const sentence = message ?? (typeof detail === 'string' ? detail : undefined);
  return new Problem(status, code ?? 'unknown', sentence ?? `The server answered with status ${status}.`, fields);
}

/** The sentence of any failure. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const GONE = new Problem(
  0,
  'unreachable',
  'The server cannot be reached. Check your connection; this page tries again.',
);

/** Waits for an answer and returns its data, or throws a `Problem`. */
export async function ask<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let got;
  try {
    got = await answer;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw GONE;
  }
  if (got.response.ok) return got.data as T;
  const problem = problemOf(got.response.status, got.error);
  if (problem.status === 401) signedOut();
  throw problem;
}

export const asText: { parseAs: ParseAs } = { parseAs: 'text' };
