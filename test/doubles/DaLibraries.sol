// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Assignment} from "../../contracts/da/Assignment.sol";
import {BatchTree} from "../../contracts/da/BatchTree.sol";
import {Blob} from "../../contracts/da/Blob.sol";
import {Committee} from "../../contracts/da/Committee.sol";
import {BlobIds} from "../../contracts/da/BlobIds.sol";
import {RowTree} from "../../contracts/da/RowTree.sol";

/// Makes the internal functions of the libraries of data availability callable one by one.
contract DaLibraries {
    function idOf(Blob calldata blob) external view returns (bytes32) {
        return BlobIds.idOf(blob);
    }

    function isValid(Blob calldata blob) external pure returns (bool) {
        return BlobIds.isValid(blob);
    }

    function verifyChunk(
        bytes32 rowRoot,
        uint256 log2T,
        uint32 rowSize,
        uint256 row,
        uint256 index,
        bytes calldata chunk,
        bytes32[] calldata path
    ) external view returns (bool) {
        return RowTree.verify(rowRoot, log2T, rowSize, row, index, chunk, path);
    }

    function verifyBlob(
        bytes32 root,
        bytes32 blobId,
        uint256 index,
        bytes32[] calldata proof
    ) external pure returns (bool) {
        return BatchTree.verify(root, blobId, index, proof);
    }

    function keyOf(bytes32 seed, bytes32 blobId) external pure returns (bytes32) {
        return Assignment.keyOf(seed, blobId);
    }

    function rowAt(bytes32 key, uint256 log2T, uint256 slot) external pure returns (uint256) {
        return Assignment.rowAt(key, log2T, slot);
    }

    function slotOf(bytes32 key, uint256 log2T, uint256 row) external pure returns (uint256) {
        return Assignment.slotOf(key, log2T, row);
    }

    function seatsOf(bytes32 seed, uint256 before, uint256 stake, uint256 total) external pure returns (uint256) {
        return Committee.seatsOf(seed, before, stake, total);
    }
}
