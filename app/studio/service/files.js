/** Files that a user opens. */

import { ServiceError } from "./service.js";

/**
 * @param {File} file
 * @param {string} code of the error that says that it cannot be read
 * @returns {Promise<Blob>} a copy: the file on the disk may change before it is sent again
 * @throws {ServiceError} it is a folder, is gone, or may not be read
 */
export async function copyOf(file, code) {
  try {
    return new Blob([await file.arrayBuffer()], { type: file.type });
  } catch (error) {
    throw new ServiceError(code, `${file.name} cannot be read. The browser says: ${error.message}`);
  }
}
