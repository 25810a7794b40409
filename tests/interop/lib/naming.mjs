// What a receiver can know of the names and the metadata of the sender's tracks.

/**
 * Whether the receiver's name of a track is the sender's `track.id`. Firefox calls the tracks that it sends and those
 * that it receives otherwise.
 */
export const sameNames = (from, to) => from.kind !== "firefox" && to.kind !== "firefox";

/** Whether metadata arrives. The official SDK finds it by `track.id` alone: with Firefox at either end it has none. */
export const metadataArrives = (from, to) => !to.isBrowser || sameNames(from, to);

/**
 * The fields that the receiver's event of a track or a stream has, of those that the sender knows.
 * @param {{ id?: string, metadata: object }} known
 */
export function expected(from, to, { id, metadata, ...rest }) {
  return {
    peer: from.id,
    ...(id && sameNames(from, to) && { track: id }),
    ...(metadataArrives(from, to) && { metadata }),
    ...rest,
  };
}
