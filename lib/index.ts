/**
 * Public API of Skein, and the map of this tree.
 *
 * Imports point only up this list, or sideways within a folder; (o) is pure, (x) does I/O.
 *
 *     base/         (o)  nouns everyone may use
 *     transport/    (x)  how bytes move
 *     membership/   (o)  who is here
 *     consensus/    (o)  what is agreed
 *     placement/    (o)  who owns what
 *     replication/  (o)  how copies stay equal
 *     structures/   (o)  what is stored
 *     peer/         (x)  one running member
 *     grid/         (x)  what users hold
 *     flow/              what users write
 *     connectors/   (x)  edges of a flow
 *     gateway/      (x)  doors: HTTP, RESP, metrics
 */
export {}
