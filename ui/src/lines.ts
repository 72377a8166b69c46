/** The custom properties of a line's colour; an unknown line is grey. */
const KNOWN = new Set(['red', 'blue', 'brown', 'green', 'orange', 'pink', 'purple', 'yellow'])
export const lineVar = (id: string): string => (KNOWN.has(id) ? `var(--${id})` : 'var(--dim)')
export const onVar = (id: string): string => (KNOWN.has(id) ? `var(--on-${id})` : 'var(--paper)')
