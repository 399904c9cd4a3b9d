// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

// Hashed, never stored: in the order in which a reader thinks of it.
// solhint-disable gas-struct-packing

/// @notice What a provider's trusted execution environment says of one answer. Hashes are over the bytes that crossed the wire.
struct Receipt {
    /// keccak256 of the answer's id (ZG-Res-Key) in UTF-8.
    bytes32 id;
    address provider;
    address user;
    /// Counts the answers of this provider to this user, from 1, without gaps.
    uint64 sequence;
    /// Unix seconds of the newest block when the request was let in: by its price and limits the answer is judged.
    uint64 createdAt;
    /// The API key that asked; 255 for a session.
    uint8 tokenId;
    uint16 priceVersion;
    /// What is charged for, below 2^40 each; `unitsRule` says how they follow from what the backend reported.
    uint64 inputUnits;
    uint64 outputUnits;
    /// inputUnits · inputPrice + outputUnits · outputPrice of the price version, in wei.
    uint128 fee;
    /// Fees of this provider to this user since the first answer, this one included.
    uint128 cumulativeFee;
    /// Of these, what `tokenId` spent since its limit was last set or its keys were revoked.
    uint128 keySpend;
    /// SHA-256 of the request's body and of the response's body.
    bytes32 requestHash;
    bytes32 responseHash;
    /// keccak256 of the model's name in UTF-8.
    bytes32 modelHash;
    /// What served it: weights, tokenizer, template, engine, dtype.
    bytes32 specHash;
    /// Of the sampler; 0 if it was not set.
    uint64 seed;
    /// keccak256 of the name of the rule, for example "tokens/1".
    bytes32 unitsRule;
}

/// @notice What a trusted execution environment signs once for many answers (EIP-712, domain of InferenceServing).
struct SettlementBatch {
    address provider;
    /// Rises from batch to batch of a provider.
    uint64 nonce;
    /// Root of the Merkle tree (sorted pairs, keccak256) whose leaves are the EIP-712 struct hashes of the receipts.
    bytes32 requestsHash;
    /// keccak256 of the items, 32 bytes each.
    bytes32 itemsHash;
}
