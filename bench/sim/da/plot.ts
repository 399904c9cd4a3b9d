/** A line of a plot; both axes are logarithmic. */
export interface Series {
  name: string
  /** Stands for it where there is only text. */
  mark: string
  points: readonly (readonly [x: number, y: number])[]
}

export interface Plot {
  title: string
  x: string
  y: string
  series: readonly Series[]
}

interface Scale {
  /** Powers of ten, from the last one below all values to the first above. */
  ticks: number[]
  /** From 0 at the first tick to 1 at the last. */
  place(value: number): number
}

function scaleOf(values: readonly number[]): Scale {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  return {
    ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)),
    place: (value) => (Math.log10(value) - low) / (high - low),
  }
}

const scalesOf = ({ series }: Plot): [x: Scale, y: Scale] =>
  [0, 1].map((axis) => scaleOf(series.flatMap(({ points }) => points.map((point) => point[axis]!)))) as [Scale, Scale]

const shown = (tick: number): string => tick.toLocaleString('en', { maximumFractionDigits: 3 })

/** The plot in characters. */
export function textOf(plot: Plot, width = 72, height = 18): string {
  const [x, y] = scalesOf(plot)
  const canvas = Array.from({ length: height }, () => Array<string>(width).fill(' '))
  for (const { mark, points } of plot.series)
    for (const [px, py] of points) canvas[Math.round((1 - y.place(py)) * (height - 1))]![Math.round(x.place(px) * (width - 1))] = mark
  const labels = new Map(y.ticks.map((tick) => [Math.round((1 - y.place(tick)) * (height - 1)), shown(tick)]))
  const lines = canvas.map((line, i) => `${(labels.get(i) ?? '').padStart(9)} ${labels.has(i) ? '┤' : '│'}${line.join('').trimEnd()}`)
  const axis = Array<string>(width + 8).fill(' ')
  for (const tick of x.ticks) for (const [i, char] of [...shown(tick)].entries()) axis[Math.round(x.place(tick) * (width - 1)) + i] = char
  const legend = plot.series.map(({ mark, name }) => `${mark} ${name}`).join('   ')
  return [
    `${plot.title}: ${plot.y}`,
    ...lines,
    `${' '.repeat(10)}└${'─'.repeat(width)}`,
    `${' '.repeat(11)}${axis.join('').trimEnd()}  ${plot.x}`,
    legend,
  ].join('\n')
}

const SIZE = { width: 720, height: 420, left: 80, right: 150, top: 40, bottom: 50 }
const COLORS = ['#0b6e99', '#c4541c', '#4b7a1e', '#7a3e9d', '#8a6d00']

/** The plot as a picture, dark on white. */
export function svgOf(plot: Plot): string {
  const [x, y] = scalesOf(plot)
  const { width, height, left, right, top, bottom } = SIZE
  const px = (value: number) => (left + x.place(value) * (width - left - right)).toFixed(1)
  const py = (value: number) => (height - bottom - y.place(value) * (height - top - bottom)).toFixed(1)
  const text = (at: [string | number, string | number], words: string, more = '') => `<text x="${at[0]}" y="${at[1]}" ${more}>${words}</text>`
  const grid = [
    ...y.ticks.map(
      (tick) => `<path d="M${left} ${py(tick)}H${width - right}" stroke="#ddd"/>${text([left - 8, Number(py(tick)) + 4], shown(tick), 'text-anchor="end"')}`,
    ),
    ...x.ticks.map(
      (tick) =>
        `<path d="M${px(tick)} ${top}V${height - bottom}" stroke="#ddd"/>${text([px(tick), height - bottom + 18], shown(tick), 'text-anchor="middle"')}`,
    ),
  ]
  const lines = plot.series.map(({ name, points }, i) => {
    const color = COLORS[i % COLORS.length]!
    const path = points.map(([vx, vy], n) => `${n === 0 ? 'M' : 'L'}${px(vx)} ${py(vy)}`).join('')
    const dots = points.map(([vx, vy]) => `<circle cx="${px(vx)}" cy="${py(vy)}" r="3" fill="${color}"/>`).join('')
    const label = `<path d="M${width - right + 12} ${top + 10 + 20 * i}h16" stroke="${color}" stroke-width="2"/>${text([width - right + 34, top + 14 + 20 * i], name)}`
    return `<path d="${path}" fill="none" stroke="${color}" stroke-width="2"/>${dots}${label}`
  })
  const titles = [
    text([left, 22], plot.title, 'font-size="14" font-weight="bold"'),
    text([(left + width - right) / 2, height - 10], plot.x, 'text-anchor="middle"'),
    text([0, 0], plot.y, `text-anchor="middle" transform="translate(18 ${(top + height - bottom) / 2}) rotate(-90)"`),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#222">
<title>${plot.title}: ${plot.y}</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${[...grid, ...lines, ...titles].join('\n')}
</svg>
`
}
