/**
 * One body of commands that a RESP door and a redis-server must answer byte for byte alike. A script is one connection on
 * an empty database; its lines are inline commands. `raw` scripts are bytes as they are, after which the server closes.
 */
export interface Script {
  readonly name: string
  /** Begins with HELLO 3, whose reply is not compared. */
  readonly isResp3?: boolean
  readonly lines?: readonly string[]
  /** Latin1. */
  readonly raw?: string
}

const strings = linesOf(`
  SET a 1; GET a; GET none; SET a 2 NX; SET b 2 NX; SET none 1 XX; SET a 3 XX; GET a; SET a 4 GET; SET none2 5 GET;
  SET none3 5 XX GET; GET none3; SET a 6 NX GET; GET a; SET a 1 NX XX; SET a 1 XX NX; SET a 1 EX; SET a 1 EX 0;
  SET a 1 EX -1; SET a 1 EX abc; SET a 1 EX 10 PX 10; SET a 1 EX 10 KEEPTTL; SET a 1 KEEPTTL EX 10; SET a 1 PERSIST;
  SET a 1 FOO; SET a 1 EX 9223372036854775807; SET a 1 PX 9223372036854775807; SET a 1 EX 100; TTL a;
  SET a 2 KEEPTTL; TTL a; SET a 3; TTL a; SET a 1 EXAT 1; GET a; EXISTS a; SET a 1 PXAT 1; EXISTS a;
  SET a 1 EXAT 99999999999; GET a; SET a 1 PXAT 0; set A lower ex 50; ttl A; SET; SET a; GET; GET a b; SETNX n 1;
  SETNX n 2; GET n; SETNX n; SETEX s 100 v; TTL s; GET s; SETEX s 0 v; SETEX s -5 v; SETEX s x v; PSETEX s 0 v;
  PSETEX s 100000 w; TTL s; GETSET s new; GETSET fresh 1; GET fresh; TTL s; GETDEL fresh; GETDEL fresh; GETDEL;
  SET e 1; GETEX e; GETEX e EX 100; TTL e; GETEX e PERSIST; TTL e; GETEX e EX; GETEX e EX 0; GETEX none EX 0;
  GETEX none; GETEX e EX abc; GETEX none EX abc; GETEX e EX 10 PERSIST; GETEX e PERSIST EX 10; GETEX e KEEPTTL;
  GETEX e NX; GETEX e PXAT 99999999999999; GETEX e EXAT 1; EXISTS e; MSET x 1 y 2 z 3; MGET x y z none x; MSET x 1 y;
  MSET; MSET x; MGET; MSET x 5 x 6; GET x; INCR i; INCR i; DECR i; INCRBY i 40; DECRBY i 2; GET i; INCRBY i abc;
  INCRBY i 1.5; DECRBY i 9223372036854775807; DECRBY i -9223372036854775808; SET big 9223372036854775807; INCR big;
  DECR big; INCRBY big 2; SET neg -9223372036854775808; DECR neg; INCRBY neg -1; INCRBY neg 9223372036854775808;
  SET t text; INCR t; SET z01 01; INCR z01; SET sp " 1"; INCR sp; SET emp ""; INCR emp; STRLEN emp; INCR; INCRBY i;
  DECRBY i; APPEND ap abc; APPEND ap def; GET ap; APPEND ap ""; STRLEN ap; STRLEN none; APPEND ap; STRLEN;
  SET bin "\\x00\\x01\\xff\\r\\n"; GET bin; STRLEN bin; SET "k\\xe9y\\x00" v; GET "k\\xe9y\\x00"; GET "k\\xe9y";
  APPEND bin "\\x80"; GET bin; INCR bin; SET f 3.0; INCR f; SET plus +1; INCR plus; SET m0 -0; INCR m0
`)

const keys = linesOf(`
  DEL none; SET a 1; SET b 2; RPUSH l 1; DEL a b l none a; EXISTS a b l; SET a 1; EXISTS a a none; DEL; EXISTS;
  UNLINK a; UNLINK; TYPE a; SET a 1; TYPE a; RPUSH l 1; TYPE l; TYPE; TYPE a b; TTL none; PTTL none; TTL a; PTTL a;
  EXPIRE a 100; TTL a; PERSIST a; PERSIST a; PERSIST none; TTL a; EXPIRE none 10; EXPIRE a abc; EXPIRE a;
  EXPIRE a 10 FOO; EXPIRE a 10 NX XX; EXPIRE a 10 NX GT; EXPIRE a 10 GT LT; EXPIRE a 100 XX; EXPIRE a 100 NX;
  EXPIRE a 200 NX; TTL a; EXPIRE a 50 GT; EXPIRE a 300 GT; TTL a; EXPIRE a 400 LT; EXPIRE a 20 LT; TTL a;
  EXPIRE a 25 XX GT; TTL a; EXPIRE a 15 XX LT; TTL a; PERSIST a; EXPIRE a 10 GT; EXPIRE a 10 XX; EXPIRE a 10 XX LT;
  TTL a; EXPIRE a 10 LT; TTL a; PEXPIRE a 100000; TTL a; PEXPIRE a abc; EXPIRE a 9223372036854775807;
  EXPIRE a -9223372036854775808; PEXPIRE a 9223372036854775807; EXPIRE a 99999999999999999999;
  EXPIREAT a 99999999999; EXPIREAT a abc; PEXPIREAT a 99999999999999; EXPIREAT l 1; EXISTS l; EXPIRE a -1; EXISTS a;
  SET a 1; EXPIRE a 0; EXISTS a; SET a 1; PEXPIRE a -5; GET a; RPUSH l a b; EXPIRE l 100; RPUSH l c; TTL l; LPOP l 3;
  TTL l; SET l x; TTL l; SCAN; SCAN abc; SCAN 0 COUNT; SCAN 0 COUNT 0; SCAN 0 COUNT abc; SCAN 0 FOO bar;
  SCAN 0 MATCH; DBSIZE; DBSIZE x; SET only 1; FLUSHALL; DBSIZE; SCAN 0; FLUSHALL ASYNC; FLUSHALL FOO; FLUSHDB;
  SET only 1; SCAN 0 COUNT 100; SCAN 0 COUNT 100 MATCH o*; SCAN 0 COUNT 100 MATCH x*; SCAN 0 COUNT 100 TYPE string;
  SCAN 0 COUNT 100 TYPE list
`)

const lists = linesOf(`
  LPUSH l a; LPUSH l b c; RPUSH l d e; LRANGE l 0 -1; LLEN l; LLEN none; LINDEX l 0; LINDEX l -1; LINDEX l 99;
  LINDEX l -99; LINDEX none 0; LINDEX l abc; LINDEX none abc; LRANGE l 1 2; LRANGE l -2 -1; LRANGE l 3 1;
  LRANGE l 99 100; LRANGE l -100 100; LRANGE none 0 -1; LRANGE l a b; LRANGE l 0; LRANGE l 0 9223372036854775807;
  LRANGE l -9223372036854775808 1; LPOP l; RPOP l; LRANGE l 0 -1; LPOP l 2; RPOP l 5; LPOP l; RPOP l; LPOP l 2;
  EXISTS l; LPOP none 0; RPUSH l 1 2 3; LPOP l 0; LPOP l -1; LPOP l abc; LPOP none -1; LPOP l 1 2; LPOP;
  RPOP l 99999999999; RPUSH l x a x b x; LREM l 1 x; LRANGE l 0 -1; LREM l -1 x; LRANGE l 0 -1; LREM l 0 x;
  LRANGE l 0 -1; LREM l 0 none; LREM none 0 x; LREM l abc x; LREM l 0; LREM l 5 a; LREM l 0 b; EXISTS l;
  LPUSHX none 1; RPUSHX none 1; EXISTS none; RPUSH l 1; LPUSHX l 0; RPUSHX l 2 3; LRANGE l 0 -1; LPUSH l; RPUSH;
  LLEN; RPUSH dup "" "\\x00" ""; LRANGE dup 0 -1; LREM dup 0 ""; LRANGE dup 0 -1; BLPOP l 0; BRPOP l 1;
  BLPOP none l 1; BRPOP none none2 l 1; LLEN l; BLPOP none 0.01; BRPOP none 0.01; BLPOP none abc; BLPOP none -1;
  BLPOP none; BLPOP; BLPOP none 1e400; BLPOP none 9223372036854775807; BLPOP none nan
`)

const wrongTypes = linesOf(`
  SET s 1; RPUSH l 1; LPUSH s 1; RPUSH s 1; LPUSHX s 1; LPOP s; RPOP s 2; LPOP s 0; LLEN s; LRANGE s 0 -1;
  LRANGE s a b; LINDEX s 0; LINDEX s abc; LREM s 0 x; LREM s abc x; BLPOP s 1; BLPOP none s 1; BLPOP l s 1;
  RPUSH l 1; BRPOP s l 1; GET l; STRLEN l; APPEND l x; INCR l; INCRBY l abc; DECR l; GETDEL l; GETEX l; GETEX l EX 0;
  GETEX l EX 100; GETSET l 1; SET l 1 GET; SET l 1 GET EX 0; SETNX l 1; MGET s l; SET l 1 NX; SET l now XX; GET l
`)

const others = linesOf(`
  PING; PING hello; PING a b; ECHO hello; ECHO; ECHO a b; SELECT 0; SELECT abc; SELECT 99; SELECT; FOO; FOO bar;
  foo "a b" c; AUTH; AUTH x; AUTH a b c; AUTH default anything; HELLO 4; HELLO abc; HELLO 2 FOO; CLIENT; CLIENT FOO;
  CLIENT GETNAME; CLIENT SETNAME me; CLIENT GETNAME; CLIENT SETNAME "a b"; CLIENT SETNAME; CLIENT SETNAME "";
  CLIENT GETNAME; CLIENT ID x; CONFIG; CONFIG GET; CONFIG GET appendonly; CONFIG GET save; CONFIG GET nosuchsetting;
  CONFIG FOO; COMMAND COUNT x; COMMAND FOO; COMMAND INFO nosuchcommand; COMMAND DOCS nosuchcommand; RESET; PING; get;
  "";
  FOO aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbb;
  QUIT
`)

/** Separated by semicolons, wherever the text is broken. */
function linesOf(text: string): readonly string[] {
  return text.trim().split(/;\s+/)
}

export const scripts: readonly Script[] = [
  { name: 'strings', lines: strings },
  { name: 'keys', lines: keys },
  { name: 'lists', lines: lists },
  { name: 'wrong types', lines: wrongTypes },
  { name: 'other commands', lines: others },
  { name: 'strings in version 3', isResp3: true, lines: strings },
  { name: 'keys in version 3', isResp3: true, lines: keys },
  { name: 'lists in version 3', isResp3: true, lines: lists },
  { name: 'wrong types in version 3', isResp3: true, lines: wrongTypes },
  { name: 'other commands in version 3', isResp3: true, lines: others.filter(line => line !== 'RESET') },
  {
    name: 'a pipeline with inline commands among it',
    raw: '*1\r\n$4\r\nPING\r\nPING\r\n\r\n*0\r\n*-1\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nQUIT\r\n',
  },
  { name: 'not a length', raw: '*abc\r\n' },
  { name: 'too many arguments', raw: '*4294967296\r\n' },
  { name: 'no bulk string', raw: '*1\r\n:1\r\n' },
  { name: 'a bulk string of no length', raw: '*1\r\n$abc\r\n' },
  { name: 'a bulk string of negative length', raw: '*1\r\n$-5\r\n' },
  { name: 'a bulk string beyond the limit', raw: '*1\r\n$536870913\r\n' },
  { name: 'quotes out of balance', raw: 'ECHO "abc\r\n' },
  { name: 'a quote closed within a word', raw: 'ECHO "abc"def\r\n' },
  { name: 'a line without end', raw: 'x'.repeat(70_000) },
  { name: 'a length without end', raw: `*${'1'.repeat(70_000)}` },
  { name: 'a bulk length without end', raw: `*1\r\n$${'1'.repeat(70_000)}` },
  { name: 'good before bad', raw: 'PING\r\n*1\r\n$4\r\nPING\r\n*1\r\n!bad\r\n' },
  { name: 'a browser', raw: 'POST / HTTP/1.1\r\nHost: x\r\n\r\n' },
  { name: 'another browser', raw: 'PING\r\nHost: x\r\n\r\n' },
]
