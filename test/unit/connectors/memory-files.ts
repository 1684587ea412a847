/** A file system in memory, shared by the peers of a test: files are bytes that an open handle keeps also when the name is gone. */
import type { FileStat, FileSystem, OpenFile } from '../../../lib/connectors/file/system.ts'

interface Inode {
  bytes: Uint8Array
  readonly inode: number
  modifiedMs: number
}

export class MemoryFiles implements FileSystem {
  readonly #files = new Map<string, Inode>()
  readonly #now: () => number
  #nextInode = 1

  constructor(now: () => number = () => 0) {
    this.#now = now
  }

  /** As a person would put it there. */
  put(path: string, text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.#files.set(path, { bytes, inode: this.#nextInode++, modifiedMs: this.#now() })
  }

  append(path: string, text: string): void {
    const file = this.#files.get(path)
    if (file === undefined) return this.put(path, text)
    file.bytes = Buffer.concat([file.bytes, new TextEncoder().encode(text)])
    file.modifiedMs = this.#now()
  }

  text(path: string): string | undefined {
    const file = this.#files.get(path)
    return file === undefined ? undefined : new TextDecoder().decode(file.bytes)
  }

  get paths(): readonly string[] {
    return [...this.#files.keys()].sort()
  }

  open(path: string, mode: 'create' | 'existing'): Promise<OpenFile> {
    let file = this.#files.get(path)
    if (file === undefined) {
      if (mode === 'existing') return Promise.reject(Object.assign(new Error(`no ${path}`), { code: 'ENOENT' }))
      file = { bytes: new Uint8Array(0), inode: this.#nextInode++, modifiedMs: this.#now() }
      this.#files.set(path, file)
    }
    return Promise.resolve(this.#opened(file))
  }

  stat(path: string): Promise<FileStat | undefined> {
    const file = this.#files.get(path)
    if (file === undefined) return Promise.resolve(undefined)
    const { bytes, inode, modifiedMs } = file
    return Promise.resolve({ size: bytes.length, modifiedMs, inode, isFile: true })
  }

  list(folder: string): Promise<readonly string[]> {
    const names = this.paths.flatMap(path => (path.startsWith(`${folder}/`) ? [path.slice(folder.length + 1)] : []))
    return Promise.resolve(names.filter(name => !name.includes('/')))
  }

  rename(from: string, to: string): Promise<void> {
    const file = this.#files.get(from)
    if (file !== undefined) this.#files.set(to, file)
    this.#files.delete(from)
    return Promise.resolve()
  }

  remove(path: string): Promise<void> {
    this.#files.delete(path)
    return Promise.resolve()
  }

  makeFolder(): Promise<void> {
    return Promise.resolve()
  }

  #opened(file: Inode): OpenFile {
    return {
      write: (bytes, position) => {
        const grown = new Uint8Array(Math.max(file.bytes.length, position + bytes.length))
        grown.set(file.bytes)
        grown.set(bytes, position)
        file.bytes = grown
        file.modifiedMs = this.#now()
        return Promise.resolve()
      },
      read: (position, length) => Promise.resolve(file.bytes.slice(position, position + length)),
      sync: () => Promise.resolve(),
      close: () => Promise.resolve(),
    }
  }
}
