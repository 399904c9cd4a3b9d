// What a trainer container runs, as far as its contract goes: node trainer-program.mjs <behaviour> <action> <input> <output> <work>
import { appendFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [behaviour, action, input, output, work] = process.argv.slice(2)
const say = (value) => process.stdout.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`)
const task = JSON.parse(readFileSync(join(input, 'task.json'), 'utf8'))
const dataset = readFileSync(join(input, task.dataset), 'utf8')
appendFileSync(join(work, 'runs'), `${action}\n`)
const forever = () => setInterval(() => {}, 1000)
const model = (content) => writeFileSync(join(output, 'model'), content)

if (action === 'count') say(behaviour === 'countless' ? 'no idea' : { tokens: dataset.split(/\s+/).length })
else if (behaviour === 'good') {
  const first = !existsSync(join(work, 'checkpoint'))
  writeFileSync(join(work, 'checkpoint'), 'half')
  say({ step: first ? 0 : 5, steps: 10, resumed: !first })
  say({ step: 10, steps: 10, loss: 0.5, heldOutLoss: 0.75, heldOutAccuracy: 0.9 })
  model(`weights of ${task.model} with ${task.params.num_train_epochs} epochs, secrets ${Object.keys(process.env).join()}`)
} else if (behaviour === 'garbage') {
  process.stdout.write(Buffer.from([0xff, 0xfe, 10]))
  say('{"step": -4, "steps": "many"}')
  say(`{"step": 1, "steps": 2, "loss": "${'9'.repeat(100_000)}"}`)
  say({ step: 2, steps: 2, loss: 0.25, extra: 'ignored' })
  process.stderr.write('Traceback, which quotes the dataset\n'.repeat(50_000))
  model('weights')
} else if (behaviour === 'bad-data') {
  say({ error: 'row 3 has no answer' })
  process.exitCode = 65
} else if (behaviour === 'crash') process.exitCode = 137
else if (behaviour === 'nothing') say({ step: 1, steps: 1 })
else if (behaviour === 'link') symlinkSync('/etc/hostname', join(output, 'model'))
else if (behaviour === 'directory') mkdirSync(join(output, 'model'))
else if (behaviour === 'large') {
  model(Buffer.alloc(5_000_000))
  forever()
} else if (behaviour === 'polite') {
  process.on('SIGTERM', () => {
    writeFileSync(join(work, 'stopped'), 'politely')
    process.exit(143)
  })
  say({ step: 1, steps: 1000 })
  forever()
} else if (behaviour === 'stubborn') {
  process.on('SIGTERM', () => {})
  writeFileSync(join(work, 'pid'), String(process.pid))
  say({ step: 1, steps: 1000 })
  forever()
}
