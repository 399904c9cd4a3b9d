// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Receipt, SettlementBatch} from "./Receipts.sol";

/// @notice What shows that a trusted execution environment said something of an answer: the batch it signed, and the receipt's place in it.
struct Evidence {
    SettlementBatch batch;
    bytes signature;
    Receipt receipt;
    /// Merkle proof from the receipt's EIP-712 struct hash to `batch.requestsHash`.
    bytes32[] path;
}

/// @notice A receipt and its Merkle proof in a batch that is known already.
struct ProvenReceipt {
    Receipt receipt;
    bytes32[] path;
}

/// @notice What is wrong with a receipt, or with two of them.
enum Fault {
    None,
    /// The fee is not units times price.
    WrongFee,
    /// The price version was not in force when the answer was complete.
    PriceNotInForce,
    /// The key had spent more than its cap.
    OverKeyCap,
    KeyExpired,
    ModelNotAllowed,
    /// Two different receipts for one answer.
    Equivocation,
    /// One receipt in two batches.
    ChargedTwice,
    /// The sum of fees does not go on from one answer to the next.
    BrokenTotal,
    /// The receipts of a batch do not add up to what it charged, or were not shown in time.
    TotalUnexplained
}

/// @notice "The receipts of this batch do not add up to what I was charged."
struct Challenge {
    address provider;
    uint64 nonce;
    address user;
    /// Unix seconds until which the provider can answer.
    uint64 deadline;
    /// Stake kept for it.
    uint128 locked;
    /// Wei that the batch charged the user.
    uint256 charged;
    bytes32 requestsHash;
}

/// @title Disputes over receipts
/// @notice Takes a provider's stake for what its trusted execution environment signed and should not have: the user gets what she was overcharged,
/// and a fixed compensation; as much again is burnt, so that a provider gains nothing by taking its own stake. If there is less stake than that,
/// both get half of it.
/// A batch can be disputed for a week after its nonce was settled, see IInferenceSettlement. Under one nonce a signer signs one batch, whose
/// signature it may renew: of two different ones, each counts, also the one that was not settled. Amounts in wei.
interface IReceiptDisputes {
    /// `taken` wei of stake are gone: half to the user, half burnt.
    event FaultProven(
        address indexed provider,
        address indexed user,
        Fault fault,
        bytes32 receiptHash,
        uint256 overcharged,
        uint256 taken
    );
    event TotalChallenged(
        bytes32 indexed id,
        address indexed provider,
        address indexed user,
        uint64 nonce,
        uint256 charged,
        uint256 deadline
    );
    event TotalExplained(bytes32 indexed id, Receipt first, Receipt last);

    /// The signature is not by a signer that could have settled for the provider lately.
    error NotSignedByProvider(address provider, address signer);
    /// The batch was not settled, or too long ago.
    error NotDisputable(address provider, uint64 nonce);
    error NotInBatch(bytes32 receiptHash);
    error WrongProvider(address provider, address expected);
    error WrongUser(address user, address expected);
    error NoFault();
    error AlreadyDecided(bytes32 id);
    error NothingCharged(address user);
    error WrongDeposit(uint256 sent, uint256 required);
    error UnknownChallenge(bytes32 id);
    error DeadlinePassed(uint256 deadline);
    error DeadlineNotPassed(uint256 deadline);
    error DoesNotAddUp(uint256 receipts, uint256 charged);

    /// @notice Decides on a single receipt. `allowedModels` are the models that the user limited the key to, as she gave them; they may be left out
    /// where that is not what is disputed. Anyone may call; the user is compensated, in Bonds. Reverts NoFault.
    function dispute(Evidence calldata evidence, bytes32[] calldata allowedModels) external;
    /// @notice Decides on two receipts of one provider that can't both be: two for one answer, one that was charged twice, or two that follow each
    /// other and do not add up. The user of `b` is compensated. Reverts NoFault.
    function disputePair(Evidence calldata a, Evidence calldata b) external;

    /// @notice Asks a provider to show that the receipts of a batch add up to what `items` charged the caller. With a deposit of `CHALLENGE_DEPOSIT`,
    /// which the provider gets if it can and the caller gets back if it can't.
    function challengeTotal(
        address provider,
        uint64 nonce,
        bytes32 requestsHash,
        bytes32[] calldata items,
        bytes calldata signature
    ) external payable returns (bytes32 id);
    /// @notice Answers with the first and the last receipt of the user in the batch. Anyone may call.
    function explainTotal(bytes32 id, ProvenReceipt calldata first, ProvenReceipt calldata last) external;
    /// @notice Compensates the user of a challenge that was not answered in time. Anyone may call.
    function concludeChallenge(bytes32 id) external;
    /// @notice An open challenge. Reverts UnknownChallenge.
    function challengeOf(bytes32 id) external view returns (Challenge memory);
    /// @notice Names the challenge of `user` to batch `nonce` of `provider`: there is one at most.
    function challengeId(address provider, uint64 nonce, address user) external pure returns (bytes32);
    /// @notice Leaf of a receipt: its EIP-712 struct hash.
    function receiptHash(Receipt calldata receipt) external pure returns (bytes32);
}
