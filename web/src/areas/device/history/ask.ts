// One question about the past, without what need not be said.

import { api, ask, type Schemas } from '$/api/client';

type Question = Schemas['Question'];

/** The courses that were asked for. */
export async function askPast(question: Partial<Question>): Promise<Schemas['SeriesAnswer'][]> {
  // The description gives every field a default, which its types take for required.
  const answer = await ask(api.POST('/telemetry/query', { body: question as Question }));
  return (answer as Schemas['HistoryAnswer']).series;
}
