export function manifestOf(source: string): unknown;
