/** Light or dark: as the system says, until the viewer chooses. */
class Theme {
  dark = $state(false)

  start(): void {
    const query = matchMedia('(prefers-color-scheme: dark)')
    const chosen = stored()
    this.dark = chosen ? chosen === 'dark' : query.matches
    query.addEventListener('change', (e) => {
      if (!stored()) this.show(e.matches)
    })
    this.show(this.dark)
  }

  toggle(): void {
    this.show(!this.dark)
    try {
      localStorage.setItem('theme', this.dark ? 'dark' : 'light')
    } catch {
      // no storage: it holds until the page is left
    }
  }

  private show(dark: boolean): void {
    this.dark = dark
    document.documentElement.dataset['theme'] = dark ? 'dark' : 'light'
  }
}

function stored(): string | null {
  try {
    return localStorage.getItem('theme')
  } catch {
    return null
  }
}

export const theme = new Theme()
