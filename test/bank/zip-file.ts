/** ZIP archives made to measure, sound or not. */
import { crc32, deflateRawSync } from 'node:zlib'

export interface ZipMember {
  readonly name: string
  readonly bytes: Uint8Array | string
  readonly isStored?: boolean
  readonly isEncrypted?: boolean
  /** What the archive says of the size, if not the truth. */
  readonly declaredBytes?: number
  readonly checkSum?: number
}

interface Written {
  readonly local: Buffer
  readonly central: Buffer
}

/** @param counted how many members the end record tells of, if not the truth. */
export function zipOf(
  members: readonly ZipMember[],
  { counted = members.length, comment = '' }: { counted?: number; comment?: string } = {},
): Buffer {
  let offset = 0
  const written = members.map((member) => {
    const one = write(member, offset)
    offset += one.local.length
    return one
  })
  const directory = Buffer.concat(written.map(({ central }) => central))
  const end = Buffer.alloc(22)
  end.write('PK\u0005\u0006', 'latin1')
  end.writeUInt16LE(counted, 8)
  end.writeUInt16LE(counted, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  end.writeUInt16LE(comment.length, 20)
  return Buffer.concat([
    ...written.map(({ local }) => local),
    directory,
    end,
    Buffer.from(comment, 'latin1'),
  ])
}

function write(member: ZipMember, offset: number): Written {
  const bytes = Buffer.from(member.bytes)
  const data = member.isStored === true ? bytes : deflateRawSync(bytes)
  const name = Buffer.from(member.name)
  // What both headers share: version, flags (names in UTF-8), method, time, check sum, sizes, name.
  const shared = Buffer.alloc(26)
  shared.writeUInt16LE(20, 0)
  shared.writeUInt16LE(0x0800 | (member.isEncrypted === true ? 1 : 0), 2)
  shared.writeUInt16LE(member.isStored === true ? 0 : 8, 4)
  shared.writeUInt32LE(member.checkSum ?? crc32(bytes), 10)
  shared.writeUInt32LE(data.length, 14)
  shared.writeUInt32LE(member.declaredBytes ?? bytes.length, 18)
  shared.writeUInt16LE(name.length, 22)
  const place = Buffer.alloc(14)
  place.writeUInt32LE(offset, 10)
  return {
    local: Buffer.concat([Buffer.from('PK\u0003\u0004', 'latin1'), shared, name, data]),
    central: Buffer.concat([
      Buffer.from('PK\u0001\u0002\u0014\u0000', 'latin1'),
      shared,
      place,
      name,
    ]),
  }
}
