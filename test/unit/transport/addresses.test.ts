import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidError } from '../../../lib/base/errors.ts'
import { type Address, formatAddress, isLoopback, multiaddrOf, parseAddress } from '../../../lib/transport/addresses.ts'

const peer = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

describe('addresses', () => {
  test.each<[string, Address]>([
    ['10.0.0.7:7400', { kind: 'ip4', host: '10.0.0.7', port: 7400 }],
    ['tcp/127.0.0.1:0', { kind: 'ip4', host: '127.0.0.1', port: 0 }],
    ['[fd00::7]:7400', { kind: 'ip6', host: 'fd00::7', port: 7400 }],
    ['tcp/[::1]:7400', { kind: 'ip6', host: '::1', port: 7400 }],
    ['localhost:7400', { kind: 'dns', host: 'localhost', port: 7400 }],
    ['dns:shop-peers:7400', { kind: 'dns', host: 'shop-peers', port: 7400 }],
    [
      'shop-0.shop.default.svc.cluster.local:7400',
      { kind: 'dns', host: 'shop-0.shop.default.svc.cluster.local', port: 7400 },
    ],
    ['/ip4/10.0.0.7/tcp/7400', { kind: 'ip4', host: '10.0.0.7', port: 7400 }],
    ['/ip6/fd00::7/tcp/7400', { kind: 'ip6', host: 'fd00::7', port: 7400 }],
    ['/dns4/shop/tcp/7400', { kind: 'dns', host: 'shop', port: 7400 }],
    [`/ip4/10.0.0.7/tcp/7400/p2p/${peer}`, { kind: 'ip4', host: '10.0.0.7', port: 7400, peer }],
  ])('reads %s', (text, address) => {
    expect(parseAddress(text)).toEqual(address)
    expect(parseAddress(formatAddress(address))).toEqual(address)
    expect(parseAddress(multiaddrOf(address))).toEqual(address)
  })

  test.each([
    ['10.0.0.7', 'no port'],
    ['10.0.0.7:', 'is not a port'],
    ['10.0.0.7:65536', 'is not a port'],
    ['10.0.0.7:-1', 'is not a port'],
    ['10.0.0.7:7e3', 'is not a port'],
    [':7400', 'is not a host name'],
    ['', 'no port'],
    ['10.0.0.256:7400', 'is not a host name'],
    ['fd00::7:7400', 'stands in brackets'],
    ['[fd00::zz]:7400', 'is not an IPv6 address'],
    ['[fe80::1%eth0]:7400', 'is not an IPv6 address'],
    ['a b:7400', 'is not a host name'],
    ['http://shop:7400', 'stands in brackets'],
    ['dns:shop', 'no port'],
    ['/ip4/10.0.0.7/udp/7400', 'not a TCP multiaddr'],
    ['/ip4/10.0.0.7/tcp/7400/ws', 'is not understood'],
    ['/ip4/shop/tcp/7400', 'is not an IPv4 address'],
    ['x'.repeat(600), 'longer than'],
  ])('says what is wrong with %s', (text, why) => {
    expect(() => parseAddress(text)).toThrow(InvalidError)
    expect(() => parseAddress(text)).toThrow(why)
  })

  test('throws nothing but InvalidError, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[/.:[\]a-f0-9tcpdns]*$/)), text => {
        const error = thrownBy(() => {
          const address = parseAddress(text)
          if (formatAddress(parseAddress(formatAddress(address))) !== formatAddress(address)) throw new Error('differs')
        })
        expect(error === undefined || error instanceof InvalidError).toBe(true)
      }),
    )
  })

  test('knows what this machine alone can reach', () => {
    expect(
      ['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1'].map(text => isLoopback(parseAddress(text))),
    ).toEqual([true, true, true, true])
    expect(['0.0.0.0:1', '[::]:1', '10.0.0.1:1', 'shop:1'].map(text => isLoopback(parseAddress(text)))).toEqual([
      false,
      false,
      false,
      false,
    ])
  })
})

function thrownBy(act: () => unknown): unknown {
  try {
    act()
    return undefined
  } catch (error) {
    return error
  }
}
