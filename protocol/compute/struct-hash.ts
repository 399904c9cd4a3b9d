import { getAddress, id, keccak256 } from 'ethers'

/** A member of an EIP-712 struct of static members; only the types that this protocol signs. */
export interface StructField {
  name: string
  type: 'address' | 'bytes32' | `uint${number}`
}

/**
 * EIP-712 struct hashes of a struct without dynamic members: keccak256 of the type's hash and one word for each member.
 * Ethers' encoder gives the same and takes three times as long, and one is made for every answer.
 */
export function structHasher<T>(name: string, fields: readonly StructField[]): (value: T) => string {
  const typeHash = id(`${name}(${fields.map(({ name, type }) => `${type} ${name}`).join(',')})`)
  const members = fields.map(({ name, type }) => ({ name: name as keyof T, encode: encoderOf(type, name) }))
  return (value) => keccak256(typeHash + members.map(({ name, encode }) => encode(value[name])).join(''))
}

function encoderOf(type: StructField['type'], name: string): (value: unknown) => string {
  if (type === 'address')
    return (value) =>
      getAddress(value as string)
        .slice(2)
        .padStart(64, '0')
  if (type === 'bytes32') {
    return (value) => {
      if (typeof value !== 'string' || !/^0x[0-9a-f]{64}$/i.test(value)) throw new RangeError(`${name} is ${value}: expected 32 bytes in hex`)
      return value.slice(2)
    }
  }
  const limit = 2n ** BigInt(type.slice('uint'.length))
  return (value) => {
    const integer = BigInt(value as bigint | number)
    if (integer < 0n || integer >= limit) throw new RangeError(`${name} is ${integer}: it does not fit ${type}`)
    return integer.toString(16).padStart(64, '0')
  }
}
