/** The upper half of code page 850, 0x80 to 0xff in order: DOS in western Europe, and what Norma 43 recommends. */
const UPPER_HALF =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒ' +
  'áíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐' +
  '└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀' +
  'ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0'

/** The character code of every byte. */
const CODES = Uint16Array.from({ length: 256 }, (_, byte) =>
  byte < 0x80 ? byte : UPPER_HALF.charCodeAt(byte - 0x80),
)

/** Few enough to be handed over as the arguments of one call. */
const CHUNK_BYTES = 8_192

/** Text in code page 850, which `TextDecoder` does not know. Every byte is a character of it. */
export function decodeCodePage850(bytes: Uint8Array): string {
  const pieces: string[] = []
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const codes = Uint16Array.from(bytes.subarray(at, at + CHUNK_BYTES), (byte) => CODES[byte] ?? 0)
    pieces.push(String.fromCharCode(...codes))
  }
  return pieces.join('')
}
