// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Receipt, SettlementBatch} from "../../contracts/compute/Receipts.sol";

/// Hashes what is signed off chain as the language itself would: types from their members, words from abi.encode.
contract ReceiptHasher is EIP712("Perigee Inference", "1") {
    bytes32 private constant RECEIPT = keccak256(
        "Receipt(bytes32 id,address provider,address user,uint64 sequence,uint64 createdAt,uint8 tokenId,uint16 priceVersion,uint64 inputUnits,uint64 outputUnits,uint128 fee,uint128 cumulativeFee,uint128 keySpend,bytes32 requestHash,bytes32 responseHash,bytes32 modelHash,bytes32 specHash,uint64 seed,bytes32 unitsRule)"
    );
    bytes32 private constant BATCH = keccak256(
        "SettlementBatch(address provider,uint64 nonce,bytes32 requestsHash,bytes32 itemsHash)"
    );

    function receiptHash(Receipt calldata receipt) public pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT, receipt));
    }

    function receiptDigest(Receipt calldata receipt) external view returns (bytes32) {
        return _hashTypedDataV4(receiptHash(receipt));
    }

    function batchDigest(SettlementBatch calldata batch) external view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(BATCH, batch)));
    }

    function itemsHash(bytes32[] calldata items) external pure returns (bytes32) {
        return keccak256(abi.encodePacked(items));
    }

    function isInTree(bytes32 root, Receipt calldata receipt, bytes32[] calldata proof) external pure returns (bool) {
        return MerkleProof.verifyCalldata(proof, root, receiptHash(receipt));
    }
}
