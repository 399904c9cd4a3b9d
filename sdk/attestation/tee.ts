/** What a trusted execution environment says of itself and of 64 bytes given to it. */
export interface Evidence {
  /** DCAP quote over the 64 bytes. */
  quote: Uint8Array
  /** JSON text: the events that RTMR0 to RTMR3 were extended with, as dstack writes them. */
  eventLog: string
  /** JSON text: what runs (`app_compose`) and its measurements. Counts only as far as the quote and the event log confirm it. */
  tcbInfo: string
  /** JSON text: of what the host made the machine. */
  vmConfig: string
}

/** The trusted execution environment that this code runs in. */
export interface Tee {
  readonly kind: 'simulated' | 'dstack'
  /** A secret of 32 bytes, the same at every start of the same code in the same instance, and known to nothing else. */
  key(path: string): Promise<Uint8Array>
  /** @param reportData 64 bytes that the quote binds */
  quote(reportData: Uint8Array): Promise<Evidence>
}

export const REPORT_DATA_LENGTH = 64
