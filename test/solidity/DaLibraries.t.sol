// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DaLibraries} from "../doubles/DaLibraries.sol";

contract DaLibrariesTest {
    DaLibraries private immutable _libraries = new DaLibraries();

    function testFuzz_slotOfInvertsRowAt(bytes32 key, uint256 code, uint256 slot) external view {
        uint256 log2T = 8 + 2 * (code % 5);
        slot %= 1 << log2T;
        uint256 row = _libraries.rowAt(key, log2T, slot);
        assert(row < 1 << log2T);
        assert(_libraries.slotOf(key, log2T, row) == slot);
    }

    /// forge-config: default.fuzz.runs = 8
    function testFuzz_everyRowHasOneSlot(bytes32 key) external view {
        uint256 seen;
        for (uint256 slot = 0; slot < 256; ++slot) seen |= 1 << _libraries.rowAt(key, 8, slot);
        assert(seen == type(uint256).max);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_aPathLeadsToItsRootOnly(
        bytes32 seed,
        uint256 code,
        uint256 rowSize,
        uint256 row,
        uint256 index,
        uint256 flipped
    ) external view {
        uint256 log2T = 8 + 2 * (code % 5);
        rowSize = 64 * (1 + (rowSize % 512));
        row %= 1 << log2T;
        uint256 chunks = (rowSize + 511) / 512;
        index %= chunks;
        uint256 rowDepth;
        while (2 ** rowDepth < chunks) ++rowDepth;

        bytes memory chunk = new bytes(index + 1 == chunks ? rowSize - 512 * index : 512);
        for (uint256 i = 0; i < chunk.length; ++i) chunk[i] = keccak256(abi.encode(seed, "chunk"))[i % 32];
        bytes32[] memory path = new bytes32[](rowDepth + log2T);
        bytes32 node = sha256(abi.encodePacked(hex"00", chunk));
        for (uint256 i = 0; i < path.length; ++i) {
            path[i] = keccak256(abi.encode(seed, i));
            bool right = (i < rowDepth ? index >> i : row >> (i - rowDepth)) & 1 == 1;
            node = sha256(right ? abi.encodePacked(hex"01", path[i], node) : abi.encodePacked(hex"01", node, path[i]));
        }
        assert(_libraries.verifyChunk(node, log2T, uint32(rowSize), row, index, chunk, path));
        path[flipped % path.length] ^= bytes32(1 << (flipped >> 248));
        assert(!_libraries.verifyChunk(node, log2T, uint32(rowSize), row, index, chunk, path));
    }

    function testFuzz_aProofLeadsToItsBatchOnly(
        bytes32 blobId,
        uint256 index,
        bytes32[] calldata proof,
        uint256 flipped
    ) external view {
        if (proof.length < 256) index %= 1 << proof.length;
        bytes32 node = keccak256(abi.encodePacked(hex"00", blobId));
        for (uint256 i = 0; i < proof.length; ++i) {
            bool right = (index >> i) & 1 == 1;
            node = keccak256(
                right ? abi.encodePacked(hex"01", proof[i], node) : abi.encodePacked(hex"01", node, proof[i])
            );
        }
        assert(_libraries.verifyBlob(node, blobId, index, proof));
        if (flipped % 256 != index) assert(!_libraries.verifyBlob(node, blobId, flipped % 256, proof));
        assert(!_libraries.verifyBlob(node, blobId ^ bytes32(1 << (flipped >> 248)), index, proof));
    }
}
