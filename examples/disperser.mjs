// A blob through the public disperser service, with what its definition says and nothing of ours. Needs a running network.
// Usage: npx node examples/disperser.mjs [file]
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { credentials, loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const { services } = JSON.parse(readFileSync(process.env.PERIGEE_NETWORK ?? '.devnet/devnet.json', 'utf8'))
const definition = loadSync(new URL('../sdk/da/wire/disperser.proto', import.meta.url).pathname, { keepCase: true, longs: Number, enums: String })
const { Disperser } = loadPackageDefinition(definition).disperser
const size = { 'grpc.max_receive_message_length': 2 ** 26, 'grpc.max_send_message_length': 2 ** 26 }
const client = new Disperser(services.daDisperser, credentials.createInsecure(), size)
const call = (method, request) => promisify(client[method]).call(client, request)

const data = readFileSync(process.argv[2] ?? 'README.md')
const { request_id } = await call('DisperseBlob', { data })
let reply
do {
  await new Promise((resolve) => setTimeout(resolve, 200))
  reply = await call('GetBlobStatus', { request_id })
} while (reply.status === 'PROCESSING')
if (!reply.info) throw new Error(`not certified: ${reply.status}`)

const { blob_header } = reply.info
const blob = await call('RetrieveBlob', blob_header)
console.log(
  `certified in epoch ${blob_header.epoch} as 0x${blob_header.storage_root.toString('hex')}, and back:`,
  data.equals(blob.data) ? 'the same bytes' : 'DIFFERENT bytes',
)
client.close()
