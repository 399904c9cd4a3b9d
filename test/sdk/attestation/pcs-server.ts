import { type FastifyReply, fastify } from 'fastify'
import type { Collateral } from '../../../protocol/attestation/collateral.ts'

export interface PcsServer {
  url: string
  /** Paths with queries that were asked for. */
  asked: string[]
  /** Answers a path that begins so with something else. */
  instead: Map<string, (reply: FastifyReply) => unknown>
  stop(): Promise<void>
}

export interface PcsServerOptions {
  collateral: () => Collateral
  /** How the lists are sent: as Intel does (DER), as a PCCS does (hex), or as PEM. */
  lists?: 'der' | 'hex' | 'pem'
  port?: number
}

/** Intel's PCS, version 4, with the answers recorded in a collateral. */
export async function startPcsServer({ collateral, lists = 'der', port = 0 }: PcsServerOptions): Promise<PcsServer> {
  const app = fastify({ forceCloseConnections: true })
  const server: PcsServer = { url: '', asked: [], instead: new Map(), stop: () => app.close() }
  const list = (hex: string) => {
    const der = Buffer.from(hex, 'hex')
    if (lists === 'hex') return hex
    return lists === 'der' ? der : `-----BEGIN X509 CRL-----\n${der.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END X509 CRL-----\n`
  }
  app.addHook('preHandler', async (request, reply) => {
    server.asked.push(request.url)
    for (const [prefix, answer] of server.instead) if (request.url.startsWith(prefix)) return answer(reply)
  })
  for (const tee of ['tdx', 'sgx']) {
    app.get(`/${tee}/certification/v4/tcb`, async (_, reply) => {
      const { tcb_info, tcb_info_signature, tcb_info_issuer_chain } = collateral()
      reply.header('TCB-Info-Issuer-Chain', encodeURIComponent(tcb_info_issuer_chain)).type('application/json')
      return `{"tcbInfo":${tcb_info},"signature":"${tcb_info_signature}"}`
    })
    app.get(`/${tee}/certification/v4/qe/identity`, async (_, reply) => {
      const { qe_identity, qe_identity_signature, qe_identity_issuer_chain } = collateral()
      reply.header('SGX-Enclave-Identity-Issuer-Chain', encodeURIComponent(qe_identity_issuer_chain)).type('application/json')
      return `{"enclaveIdentity":${qe_identity},"signature":"${qe_identity_signature}"}`
    })
  }
  app.get('/sgx/certification/v4/pckcrl', async (_, reply) => {
    reply.header('SGX-PCK-CRL-Issuer-Chain', encodeURIComponent(collateral().pck_crl_issuer_chain)).type('application/pkix-crl')
    return list(collateral().pck_crl)
  })
  app.get('/sgx/certification/v4/rootcacrl', async (_, reply) => reply.type('application/pkix-crl').send(list(collateral().root_ca_crl)))
  server.url = await app.listen({ port, host: '127.0.0.1' })
  return server
}
