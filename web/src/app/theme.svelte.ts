// Light, dark, or as the system has it; kept in this browser.

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'espalier.theme';

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
}

class Choice {
  value = $state<Theme>(stored());

  apply(): void {
    if (this.value === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.value;
  }

  choose(value: Theme): void {
    this.value = value;
    this.apply();
    try {
      if (value === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, value);
    } catch {
      // A browser that keeps nothing shows the choice until it is closed.
    }
  }
}

export const theme = new Choice();
