/** What file connectors ask of a file system: a port, so that tests can lose bytes and simulations have none. */
import { open, readdir, rename, stat, unlink, mkdir } from 'node:fs/promises'

export interface OpenFile {
  /** All of it, at that place. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Up to so many; fewer at the end. */
  read(position: number, length: number): Promise<Uint8Array>
  sync(): Promise<void>
  close(): Promise<void>
}

export interface FileStat {
  readonly size: number
  readonly modifiedMs: number
  /** Tells a file from another that had its name before. */
  readonly inode: number
  readonly isFile: boolean
}

export interface FileSystem {
  /** For reading and writing; 'create' makes it if it is not there, 'existing' rejects with code ENOENT. */
  open(path: string, mode: 'create' | 'existing'): Promise<OpenFile>
  /** Undefined: not there. */
  stat(path: string): Promise<FileStat | undefined>
  list(folder: string): Promise<readonly string[]>
  rename(from: string, to: string): Promise<void>
  /** No error if it is not there. */
  remove(path: string): Promise<void>
  makeFolder(path: string): Promise<void>
}

export const nodeFiles: FileSystem = {
  open: async (path, mode) => {
    const file =
      mode === 'existing'
        ? await open(path, 'r+')
        : await open(path, 'a')
            .then(made => made.close())
            .then(() => open(path, 'r+'))
    return {
      write: async (bytes, position) => {
        for (let done = 0; done < bytes.length;) {
          const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
          done += bytesWritten
        }
      },
      read: async (position, length) => {
        const bytes = new Uint8Array(length)
        let done = 0
        while (done < length) {
          const { bytesRead } = await file.read(bytes, done, length - done, position + done)
          if (bytesRead === 0) break
          done += bytesRead
        }
        return bytes.subarray(0, done)
      },
      sync: () => file.datasync(),
      close: () => file.close(),
    }
  },
  stat: async path => {
    try {
      const found = await stat(path)
      return { size: found.size, modifiedMs: found.mtimeMs, inode: found.ino, isFile: found.isFile() }
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  },
  list: async folder => (await readdir(folder)).sort(),
  rename,
  remove: async path => {
    try {
      await unlink(path)
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  },
  makeFolder: async path => void (await mkdir(path, { recursive: true })),
}

export function isMissing(error: unknown): boolean {
  return (error as { readonly code?: string } | undefined)?.code === 'ENOENT'
}
