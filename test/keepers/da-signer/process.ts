import { type ChildProcess, spawn } from 'node:child_process'
import { connectSigner, type SignerClient } from '../../../sdk/da/wire.ts'

/** A keeper in a process of its own, to be killed. */
export async function spawnSigner({ privateKey, ...config }: Record<string, unknown>): Promise<{ child: ChildProcess; client: SignerClient }> {
  const flags = Object.entries(config).flatMap(([key, value]) => [`--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, String(value)])
  const child = spawn(process.execPath, ['--import', './scripts/ts.mjs', 'keepers/da/signer/main.ts', ...flags], {
    env: { ...process.env, PRIVATE_KEY: String(privateKey) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout!.on('data', (text) => {
      output += text
      const started = /"url":"([^"]+)"[^\n]*"msg":"started"/.exec(output)
      if (started) resolve(started[1]!)
    })
    child.once('exit', (code) => reject(new Error(`the signer ended with ${code}:\n${output}`)))
  })
  return { child, client: connectSigner(url) }
}
