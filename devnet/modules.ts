/** Modules that a local network can run; `--only` chooses. */
export const MODULES = ['storage', 'compute', 'da'] as const
export type Module = (typeof MODULES)[number]
