// Short words about what just happened; a failure stays until it is read.

export interface Toast {
  id: number;
  kind: 'done' | 'failed' | 'info';
  text: string;
  action?: { label: string; run: () => void } | undefined;
}

const STAY_MS = 5_000;
const STAY_WITH_ACTION_MS = 10_000;
const MOST = 4;

class Toasts {
  list = $state.raw<Toast[]>([]);
  #next = 1;

  show(kind: Toast['kind'], text: string, action?: Toast['action']): number {
    const id = this.#next++;
    this.list = [...this.list.slice(1 - MOST), { id, kind, text, action }];
    if (kind !== 'failed') setTimeout(() => this.dismiss(id), action ? STAY_WITH_ACTION_MS : STAY_MS);
    return id;
  }
  done(text: string, action?: Toast['action']): void {
    this.show('done', text, action);
  }
  failed(error: unknown): void {
    this.show('failed', error instanceof Error ? error.message : String(error));
  }
  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
