/** What a trial prints at its end. */
export interface Summary {
  readonly trial: string
  readonly isPassed: boolean
  readonly figures: Readonly<Record<string, number | string>>
  /** Losses, crashes, errors in logs: one line each. */
  readonly problems: readonly string[]
  /** Where the logs lay, or still lie. */
  readonly folder: string
}

const problemsShown = 20

export function render({ trial, isPassed, figures, problems, folder }: Summary): string {
  const width = Math.max(...Object.keys(figures).map(name => name.length))
  const shown = Object.entries(figures).map(([name, value]) => `  ${name.padEnd(width)}  ${valueText(value)}`)
  return [
    `${trial}: ${isPassed ? 'passed' : 'FAILED'}`,
    ...shown,
    ...problems.slice(0, problemsShown).map(each => `  ! ${each}`),
    ...(problems.length > problemsShown ? [`  ! and ${problems.length - problemsShown} more`] : []),
    ...(isPassed ? [] : [`  logs: ${folder}`]),
  ].join('\n')
}

function valueText(value: number | string): string {
  return typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(2) : String(value)
}
